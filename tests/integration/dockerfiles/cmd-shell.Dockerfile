FROM lang-base:1
CMD echo $HOME "x y"

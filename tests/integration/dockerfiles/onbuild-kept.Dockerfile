FROM lang-base:1
ONBUILD   RUN   echo  a   && b
ONBUILD ENV a b

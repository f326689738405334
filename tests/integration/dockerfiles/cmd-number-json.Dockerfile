FROM lang-base:1
CMD ["x", 1]

FROM lang-base:1 AS a
CMD ["from", "a"]
FROM a
ENTRYPOINT ["e"]

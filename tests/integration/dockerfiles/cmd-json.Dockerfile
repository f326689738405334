FROM lang-base:1
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["echo", "a b", "$HOME"]

FROM lang-base:1
ENV a="${nope:?must be there}"

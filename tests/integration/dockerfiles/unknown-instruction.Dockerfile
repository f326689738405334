FROM lang-base:1
FORM x

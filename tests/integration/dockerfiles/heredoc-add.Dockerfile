FROM lang-base:1
ADD <<f /a/b
text
f

FROM lang-base:1
LABEL a=1 "b c"="d e" multi="x\
y" quoted=\"q\"
LABEL old style label
LABEL a=2 com.example.x=$HOME$PATH
# build: --label=z=cli --label=a=3

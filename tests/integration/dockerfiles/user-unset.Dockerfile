FROM lang-base:1
USER app
USER $NOPE
LABEL empty= q='' u=$NOPE

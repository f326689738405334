FROM lang-base:1
HEALTHCHECK --interval=1ns CMD a

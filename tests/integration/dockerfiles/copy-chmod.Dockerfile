FROM lang-base:1
COPY --chmod=711 file /f
COPY --chmod=4755 exec /s
COPY --chmod=0640 dir /d
COPY --chmod=600 file /new/p/f

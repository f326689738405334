FROM lang-base:1
COPY wild/*.txt /a/
COPY wild/[12]* /b/
COPY w?ld /c/
COPY */1.txt /d
COPY names/c[[]d] /e
COPY ["names/a b", "/f g/"]

FROM lang-base:1
ADD tars/t.tar /a
ADD tars/t.tar.gz /b/
ADD tars/t.tar.bz2 tars/t.tar /c/
ADD not.tar /n

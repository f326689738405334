FROM lang-base:1
ADD tars/empty.tar /e/

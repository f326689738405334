FROM lang-base:1
COPY ../../file /a
COPY /dir/../../exec /b

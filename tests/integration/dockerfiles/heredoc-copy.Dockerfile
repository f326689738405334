FROM lang-base:1
ENV V=value
COPY <<one <<"two" <<-three /dir/
a $V \$V "q" 'q'
one
a $V \$V
two
	tab $V
	three
COPY --chmod=600 --chown=5:6 <<EOF /named
x
EOF

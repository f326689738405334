FROM lang-base:1
RUN <<EOF
echo one > /one
echo "$HOME" \
  two > /two
EOF
RUN <<EOF cat > /three; cat <<B >> /three
$((1 + 1)) three
EOF
b
B
RUN <<-EOF
#!/bin/cat
	x
	EOF

FROM lang-base:1
ENV A=1 B=$A C="two words" D=back\ slash
ENV E  inner   blanks  kept  
ENV A=2 F=$A
ENV B=x PATH=/opt:$PATH
ENV G='$A' H="\$A" I=a"b c"d J=

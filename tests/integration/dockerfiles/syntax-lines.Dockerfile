# escape=`
# a comment
from lang-base:1 as x
label a=1 `
  # in between
  b=2 `

  c="`$x"
label d=C:`\x

/* worker/qr.h - a QR code as SVG. libqrencode. */
#pragma once
#include "base/buf.h"

/* Appends an <svg> element, black on white with the margin that readers need; unit is one module.
 * -1 with *e when the text does not fit. */
int qr_svg(const char *text, struct buf *ret, struct err *e);

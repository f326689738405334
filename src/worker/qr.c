#include "worker/qr.h"

#include <errno.h>
#include <qrencode.h>

#define MARGIN 4 /* ISO/IEC 18004 5.3.8: the quiet zone */

/* One rectangle for each run of dark modules in a row. */
static void put_row(struct buf *ret, const unsigned char *row, int width, int y)
{
	for (int x = 0; x < width; x++) {
		int n = 0;
		while (x + n < width && (row[x + n] & 1)) {
			n++;
		}
		if (n > 0) {
			buf_printf(ret, "M%d %dh%dv1h-%dz", x + MARGIN, y + MARGIN, n, n);
			x += n;
		}
	}
}

int qr_svg(const char *text, struct buf *ret, struct err *e)
{
	QRcode *q = QRcode_encodeString(text, 0, QR_ECLEVEL_M, QR_MODE_8, 1);
	if (!q) {
		return err_sys(e, errno, "cannot make a QR code of %s", text);
	}
	int size = q->width + 2 * MARGIN;
	buf_printf(ret,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" role=\"img\" "
		"shape-rendering=\"crispEdges\"><rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>"
		"<path fill=\"#000\" d=\"",
		size, size, size, size);
	for (int y = 0; y < q->width; y++) {
		put_row(ret, q->data + (size_t)y * (size_t)q->width, q->width, y);
	}
	buf_puts(ret, "\"/></svg>");
	QRcode_free(q);
	return 0;
}

#include "worker/cert_page.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "worker/cert_store.h"
#include "worker/qr.h"

#define PAGE_MAX (256u << 10)
#define HTTP_PORT 80

static void put_escaped(struct buf *b, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '<':
			buf_puts(b, "&lt;");
			break;
		case '>':
			buf_puts(b, "&gt;");
			break;
		case '&':
			buf_puts(b, "&amp;");
			break;
		case '"':
			buf_puts(b, "&quot;");
			break;
		default:
			buf_putc(b, *text);
		}
	}
}

static void put_port(struct buf *b, int port)
{
	if (port != HTTP_PORT) {
		buf_printf(b, ":%d", port);
	}
}

char *cert_page_url(const struct cert_page *p)
{
	scoped(buf) struct buf b = BUF_INIT;
	buf_printf(&b, "http://%s.local", p->device);
	put_port(&b, p->http_port);
	buf_puts(&b, "/.wherry/ca");
	return buf_take_str(&b);
}

/* --- the page --- */

static const char style[] =
	"body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:2rem auto;padding:0 1rem;"
	"color:#1c1c1c;background:#fff}"
	"h1{font-size:1.5rem}code{font:0.85em ui-monospace,monospace;overflow-wrap:anywhere}"
	"a.button{display:inline-block;padding:.6rem 1rem;margin:.3rem .5rem .3rem 0;border-radius:.4rem;"
	"background:#0b57a4;color:#fff;text-decoration:none}"
	"figure{float:right;width:11rem;margin:0 0 1rem 1rem}figure svg{width:100%;height:auto}"
	"details{border-top:1px solid #ccc;padding:.6rem 0}summary{font-weight:600;cursor:pointer}"
	"@media(max-width:34rem){figure{display:none}}"
	"@media(prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}}";

/* %1: the device */
static const struct {
	const char *summary, *steps;
} systems[] = {
	{"iPhone, iPad",
		"<li>Tap <b>Profile for Apple devices</b> above and allow the download.</li>"
		"<li>Settings: tap <b>Profile Downloaded</b> at the top (or General, VPN &amp; Device "
		"Management), then <b>Install</b>.</li>"
		"<li>Settings, General, About, <b>Certificate Trust Settings</b>: switch this certificate "
		"on. Without this step Safari does not use it.</li>"},
	{"Android",
		"<li>Tap <b>Certificate</b> above; the file ca.crt is downloaded.</li>"
		"<li>Settings, Security (and privacy), More, Encryption &amp; credentials, <b>Install a "
		"certificate</b>, <b>CA certificate</b>, Install anyway, and choose ca.crt.</li>"
		"<li>Chrome uses it at once. Firefox: Settings, About Firefox, tap the logo five times, "
		"then Settings, Secret Settings, <b>Use third party CA certificates</b>.</li>"},
	{"Windows",
		"<li>Download <b>Certificate</b> and open it: <b>Install Certificate</b>, Local Machine.</li>"
		"<li><b>Place all certificates in the following store</b>: Trusted Root Certification "
		"Authorities.</li>"
		"<li>Or in an administrator's terminal: <code>certutil -addstore Root ca.crt</code></li>"},
	{"macOS",
		"<li>Download <b>Certificate</b> and open it: it is added to Keychain Access.</li>"
		"<li>Open it there, <b>Trust</b>, When using this certificate: <b>Always Trust</b>.</li>"
		"<li>Or: <code>sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain "
		"ca.crt</code></li>"},
	{"Linux",
		"<li>Debian, Ubuntu, Raspberry Pi OS: <code>sudo cp ca.crt "
		"/usr/local/share/ca-certificates/wherry.crt &amp;&amp; sudo update-ca-certificates</code></li>"
		"<li>Fedora: <code>sudo cp ca.crt /etc/pki/ca-trust/source/anchors/wherry.crt &amp;&amp; sudo "
		"update-ca-trust</code></li>"
		"<li>Chrome and Chromium have a list of their own: Settings, Privacy and security, Security, "
		"<b>Manage certificates</b>, Authorities, Import.</li>"},
	{"Firefox on a computer",
		"<li>Settings, Privacy &amp; Security, Certificates, <b>View Certificates</b>, Authorities, "
		"<b>Import</b>: choose ca.crt and tick <b>Trust this CA to identify websites</b>.</li>"},
};

static void put_day(struct buf *b, int64_t seconds)
{
	char text[16];
	time_t t = (time_t)seconds;
	struct tm tm;
	strftime(text, sizeof(text), "%Y-%m-%d", gmtime_r(&t, &tm));
	buf_puts(b, text);
}

static void put_authority(struct buf *b, const X509 *cert, const char *what)
{
	scoped(free) char *subject = pki_subject(cert);
	scoped(free) char *fingerprint = pki_fingerprint(cert);
	buf_printf(b, "<p>%s <b>", what);
	put_escaped(b, subject);
	buf_puts(b, "</b>, good until ");
	put_day(b, pki_not_after(cert));
	buf_printf(b, ".<br>SHA-256: <code>%s</code></p>", fingerprint);
}

static void put_addresses(struct buf *b, const struct cert_page *p)
{
	if (p->addresses->n == 0) {
		return;
	}
	buf_puts(b, "<p>A device that does not find the name reaches this page as");
	for (size_t i = 0; i < p->addresses->n && i < 4; i++) {
		bool six = strchr(p->addresses->v[i], ':');
		buf_puts(b, i ? ", <code>http://" : " <code>http://");
		buf_printf(b, six ? "[%s]" : "%s", p->addresses->v[i]);
		put_port(b, p->http_port);
		buf_puts(b, "/.wherry/ca</code>");
	}
	buf_puts(b, ".</p>");
}

static void put_systems(struct buf *b)
{
	for (size_t i = 0; i < sizeof(systems) / sizeof(*systems); i++) {
		buf_printf(b, "<details><summary>%s</summary><ol>%s</ol></details>",
			systems[i].summary, systems[i].steps);
	}
}

char *cert_page_html(const struct cert_page *p, struct err *e)
{
	scoped(buf) struct buf b = BUF_INIT;
	scoped(free) char *url = cert_page_url(p);
	buf_printf(&b,
		"<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" "
		"content=\"width=device-width\"><title>Trust %s</title><style>%s</style></head><body>"
		"<h1>Trust %s.local</h1><figure>",
		p->device, style, p->device);
	if (qr_svg(url, &b, e) < 0) {
		return NULL;
	}
	buf_printf(&b,
		"</figure><p>This device signs the certificates of its pages itself. Install its authority "
		"once on each phone and computer, and https://%s.local and its apps open without a "
		"warning. The code leads a phone to this page: <code>%s</code></p>"
		"<p><a class=\"button\" href=\"/.wherry/ca/ca.crt\">Certificate</a>"
		"<a class=\"button\" href=\"/.wherry/ca/wherry.mobileconfig\">Profile for Apple devices</a></p>",
		p->device, url);
	put_authority(&b, p->authority, "The certificate is");
	buf_puts(&b,
		"<p>Over plain http somebody in between could give you another one: compare the "
		"SHA-256 with what <code>wherry ingress ca --fingerprint</code> says on the device.</p>");
	if (p->other) {
		put_authority(&b, p->other,
			"<a href=\"/.wherry/ca/other.crt\">A second one</a> signs for hosts outside of the "
			"local network's names, and may sign for any: install it only if you need "
			"those. It is");
	}
	put_systems(&b);
	put_addresses(&b, p);
	buf_puts(&b, "</body></html>\n");
	return buf_take_str(&b);
}

/* --- the profile: Apple "Configuration Profile Reference" --- */

/* The same certificate is the same payload: a second installation replaces the first. */
static void put_uuid(struct buf *b, const X509 *cert, char kind)
{
	char d[65];
	pki_digest(cert, d);
	buf_printf(b, "<key>PayloadUUID</key><string>%.8s-%.4s-4%.3s-8%.3s-%c%.11s</string>", d,
		d + 8, d + 12, d + 15, kind, d + 18);
}

static void put_key(struct buf *b, const char *key, const char *value)
{
	buf_printf(b, "<key>%s</key><string>", key);
	put_escaped(b, value);
	buf_puts(b, "</string>");
}

static void put_payload(struct buf *b, const struct cert_page *p, const X509 *cert)
{
	scoped(buf) struct buf der = BUF_INIT;
	scoped(free) char *subject = pki_subject(cert);
	char digest[65];
	pki_digest(cert, digest);
	pki_cert_der(cert, &der);
	buf_puts(b, "<dict><key>PayloadContent</key><data>");
	base64_encode(der.data, der.len, b);
	buf_puts(b, "</data>");
	put_key(b, "PayloadCertificateFileName", "ca.cer");
	put_key(b, "PayloadDisplayName", subject);
	buf_printf(b, "<key>PayloadIdentifier</key><string>wherry.%s.ca.%.16s</string>", p->device,
		digest);
	put_key(b, "PayloadType", "com.apple.security.root");
	put_uuid(b, cert, 'a');
	buf_puts(b, "<key>PayloadVersion</key><integer>1</integer></dict>");
}

char *cert_page_profile(const struct cert_page *p)
{
	scoped(buf) struct buf b = BUF_INIT;
	scoped(free) char *title = xasprintf("%s.local", p->device);
	scoped(free) char *identifier = xasprintf("wherry.%s", p->device);
	buf_puts(&b, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		     "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
		     "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
		     "<plist version=\"1.0\"><dict><key>PayloadContent</key><array>");
	put_payload(&b, p, p->authority);
	if (p->other) {
		put_payload(&b, p, p->other);
	}
	buf_puts(&b, "</array>");
	put_key(&b, "PayloadDisplayName", title);
	put_key(&b, "PayloadDescription", "Trusts the pages of this device and its apps.");
	put_key(&b, "PayloadIdentifier", identifier);
	put_key(&b, "PayloadType", "Configuration");
	put_uuid(&b, p->authority, 'b');
	buf_puts(&b, "<key>PayloadRemovalDisallowed</key><false/>"
		     "<key>PayloadVersion</key><integer>1</integer></dict></plist>\n");
	return buf_take_str(&b);
}

/* --- files --- */

static int put_file(int dir_fd, const char *name, const char *text, struct err *e)
{
	scoped(buf) struct buf was = BUF_INIT;
	size_t n = strlen(text);
	if (path_read(dir_fd, name, PAGE_MAX, &was) == 0 && was.len == n &&
		memcmp(was.data, text, n) == 0) {
		return 0;
	}
	int r = path_write(dir_fd, name, text, n, 0644, false);
	return r < 0 ? err_sys(e, -r, "cannot write %s", name) : 0;
}

static int put_cert(int dir_fd, const char *name, X509 *cert, struct err *e)
{
	const struct pki_pair p = {.cert = cert};
	scoped(buf) struct buf pem = BUF_INIT;
	if (!cert) {
		return unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT
			       ? err_sys(e, errno, "cannot remove %s", name)
			       : 0;
	}
	pki_cert_pem(&p, &pem);
	return put_file(dir_fd, name, buf_str(&pem), e);
}

int cert_page_write(const char *dir, const struct cert_page *p, struct err *e)
{
	scoped(free) char *html = cert_page_html(p, e);
	scoped(free) char *profile = html ? cert_page_profile(p) : NULL;
	int r = html ? path_mkdirs(dir, 0755) : 0;
	if (!html || r < 0) {
		return html ? err_sys(e, -r, "cannot make %s", dir) : -1;
	}
	scoped(close) int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		return err_sys(e, errno, "cannot open %s", dir);
	}
	return put_file(dir_fd, "index.html", html, e) < 0 ||
			       put_file(dir_fd, "wherry.mobileconfig", profile, e) < 0 ||
			       put_cert(dir_fd, "ca.crt", p->authority, e) < 0
		       ? -1
		       : put_cert(dir_fd, "other.crt", p->other, e);
}

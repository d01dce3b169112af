// SPDX-License-Identifier: Apache-2.0
#include "conn.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/auth.h"

static const struct timeval patience = {15, 0}; // with a server that does not shake hands

static int connect_to(struct conn *conn, const struct sockaddr *addr, socklen_t len)
{
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0), code;

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, addr, len) == 0) {
		conn->fd = fd;
		return 0;
	}
	code = errno == EINPROGRESS || errno == EAGAIN ? ETIMEDOUT : errno;
	if (fd >= 0)
		close(fd);
	return -code;
}

static int open_unix(struct conn *conn, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int ret;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%.100s...: the path of a socket has at most %zu bytes", path,
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	ret = connect_to(conn, (struct sockaddr *)&addr, sizeof(addr));
	if (ret < 0)
		return err_set(err, -ret, "cannot connect to %s: %s%s", path, strerror(-ret),
			       ret == -ENOENT || ret == -ECONNREFUSED ? " (does pane-switchd run? --socket says where)"
								      : "");
	return 0;
}

int conn_open(struct conn *conn, const char *socket, struct err *err)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int ret;

	*conn = (struct conn){.fd = -1, .name = socket};
	if (strchr(socket, '/') != NULL || strchr(socket, ':') == NULL)
		return open_unix(conn, socket, err);
	if (auth_listen_parse(socket, &addr, &len, err) < 0)
		return -EINVAL;
	ret = connect_to(conn, (struct sockaddr *)&addr, len);
	return ret == 0 ? 0 : err_set(err, -ret, "cannot connect to %s: %s", socket, strerror(-ret));
}

// HOST:PORT or [HOST]:PORT.
static int split(const char *text, char host[256], char port[16], struct err *err)
{
	const char *colon = strrchr(text, ':');
	bool brackets = text[0] == '[';
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;

	if (len <= 2 * (size_t)brackets || len >= 256 || (brackets && colon[-1] != ']') ||
	    strspn(colon + 1, "0123456789") != strlen(colon + 1) || strlen(colon + 1) - 1 > 4)
		return err_set(err, EINVAL, "expected HOST:PORT such as switch.example.org:4243, got \"%.100s\"", text);
	snprintf(host, 256, "%.*s", (int)(len - 2 * brackets), text + brackets);
	snprintf(port, 16, "%s", colon + 1);
	return 0;
}

static int connect_any(struct conn *conn, const char *host, const char *port, struct err *err)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int ret = getaddrinfo(host, port, &hints, &found);

	if (ret != 0)
		return err_set(err, EHOSTUNREACH, "cannot find %s: %s", host, gai_strerror(ret));
	ret = -EHOSTUNREACH;
	for (const struct addrinfo *a = found; a != NULL && ret < 0; a = a->ai_next)
		ret = connect_to(conn, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	return ret == 0 ? 0 : err_set(err, -ret, "cannot connect to %s: %s", conn->name, strerror(-ret));
}

// What the server's alert or our own check said, without OpenSSL's protocol prefixes.
static const char *handshake_words(const struct conn *conn)
{
	unsigned long code = ERR_peek_last_error();
	long verify = SSL_get_verify_result(conn->ssl);
	const char *text = code != 0 ? ERR_reason_error_string(code) : NULL, *alert;

	ERR_clear_error();
	if (verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	if (text == NULL)
		return "the connection ended";
	alert = strstr(text, " alert ");
	return alert != NULL ? alert + strlen(" alert ") : text;
}

static bool is_address(const char *host)
{
	return strchr(host, ':') != NULL || strspn(host, "0123456789.") == strlen(host);
}

static int handshake(struct conn *conn, const char *host, struct principal *own, struct err *err)
{
	const struct timeval none = {0, 0};

	conn->ssl = SSL_new(conn->ctx);
	if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1 ||
	    (is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(conn->ssl), host)
			      : SSL_set1_host(conn->ssl, host)) != 1)
		return err_set(err, EPROTO, "TLS with %s: out of memory", conn->name);
	if (!is_address(host))
		SSL_set_tlsext_host_name(conn->ssl, host);
	if (own != NULL && tls_principal(SSL_get_certificate(conn->ssl), own, err) < 0)
		return -EINVAL;
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (SSL_connect(conn->ssl) != 1)
		return err_set(err, EPROTO, "TLS with %s: %s", conn->name, handshake_words(conn));
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	return 0;
}

int conn_open_tls(struct conn *conn, const char *host_port, const struct tls_files *files, struct principal *own,
		  struct err *err)
{
	char host[256], port[16];

	*conn = (struct conn){.fd = -1, .name = host_port};
	if (split(host_port, host, port, err) < 0)
		return -EINVAL;
	conn->ctx = tls_client_create(files, NULL, err);
	if (conn->ctx == NULL || connect_any(conn, host, port, err) < 0 || handshake(conn, host, own, err) < 0) {
		conn_close(conn);
		return -err->code;
	}
	return 0;
}

void conn_patience(struct conn *conn, unsigned int seconds)
{
	const struct timeval tv = {(time_t)seconds, 0};

	conn->patience_s = seconds;
	setsockopt(conn->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

void conn_close(struct conn *conn)
{
	if (conn->ssl != NULL)
		SSL_shutdown(conn->ssl);
	SSL_free(conn->ssl);
	SSL_CTX_free(conn->ctx);
	if (conn->fd >= 0)
		close(conn->fd);
	*conn = (struct conn){.fd = -1, .name = conn->name};
}

static ssize_t send_some(struct conn *conn, const char *data, size_t len)
{
	int ret;

	if (conn->ssl == NULL)
		return send(conn->fd, data, len, MSG_NOSIGNAL);
	ERR_clear_error();
	errno = 0;
	ret = SSL_write(conn->ssl, data, (int)len);
	if (ret <= 0 && errno == 0)
		errno = EPIPE; // TLS was ended by the other side
	return ret > 0 ? ret : -1;
}

int conn_send(struct conn *conn, const char *data, size_t len, struct err *err)
{
	while (len > 0) {
		ssize_t n = send_some(conn, data, len);

		// The server may have said why before it closed: the reader finds out.
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return err_set(err, EIO, "%s: it takes no more statements: it is there, and busy or stuck",
				       conn->name);
		if (n < 0)
			return err_set(err, EIO, "%s: %s", conn->name, strerror(errno));
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

ssize_t conn_receive(struct conn *conn, char *buf, size_t size, struct err *err)
{
	for (;;) {
		ssize_t n;

		ERR_clear_error();
		errno = 0;
		n = conn->ssl != NULL ? SSL_read(conn->ssl, buf, (int)size) : recv(conn->fd, buf, size, 0);
		if (n > 0 || (n == 0 && conn->ssl == NULL))
			return n;
		if (errno == EINTR)
			continue;
		if (errno == EAGAIN)
			return err_set(err, ETIMEDOUT,
				       "%s: no answer within %u s: it is there, and busy or stuck (--timeout)",
				       conn->name, conn->patience_s);
		if (conn->ssl != NULL && SSL_get_error(conn->ssl, (int)n) == SSL_ERROR_ZERO_RETURN)
			return 0;
		if (conn->ssl != NULL && ERR_peek_last_error() != 0)
			return err_set(err, EIO, "%s refused this certificate or connection: %s", conn->name,
				       handshake_words(conn));
		return err_set(err, EIO, "%s: %s", conn->name, errno != 0 ? strerror(errno) : "the connection ended");
	}
}

// SPDX-License-Identifier: Apache-2.0
#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URI_SCHEME "pane:"

// What OpenSSL complained of first, in its words; empties its queue.
static const char *reason(void)
{
	unsigned long code = ERR_get_error();
	const char *text;

	ERR_clear_error();
	if (code == 0)
		return "not usable";
	if (ERR_SYSTEM_ERROR(code))
		return strerror(ERR_GET_REASON(code));
	text = ERR_reason_error_string(code);
	if (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE)
		return "no PEM text (-----BEGIN ...) of the right kind in it";
	return text != NULL ? text : "not usable";
}

static int bad(enum tls_file *wrong, enum tls_file which, const char *path, struct err *err)
{
	if (wrong != NULL)
		*wrong = which;
	return err_set(err, EINVAL, "%.200s: %s", path, reason());
}

static bool load_crl(SSL_CTX *ctx, const char *path)
{
	X509_STORE *store = SSL_CTX_get_cert_store(ctx);
	X509_LOOKUP *lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());

	return lookup != NULL && X509_load_crl_file(lookup, path, X509_FILETYPE_PEM) > 0 &&
	       X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) == 1;
}

static bool keep_own(SSL_CTX *ctx, SSL_CTX *old)
{
	STACK_OF(X509) *chain = NULL;

	SSL_CTX_get0_chain_certs(old, &chain);
	return SSL_CTX_use_cert_and_key(ctx, SSL_CTX_get0_certificate(old), SSL_CTX_get0_privatekey(old), chain, 1) ==
	       1;
}

static int load(SSL_CTX *ctx, const struct tls_files *files, SSL_CTX *old, enum tls_file *wrong, struct err *err)
{
	if (old != NULL && (access(files->cert, R_OK) < 0 || access(files->key, R_OK) < 0)) {
		if (!keep_own(ctx, old))
			return bad(wrong, TLS_FILE_CERT, files->cert, err);
	} else {
		if (SSL_CTX_use_certificate_chain_file(ctx, files->cert) != 1)
			return bad(wrong, TLS_FILE_CERT, files->cert, err);
		if (SSL_CTX_use_PrivateKey_file(ctx, files->key, SSL_FILETYPE_PEM) != 1 ||
		    SSL_CTX_check_private_key(ctx) != 1)
			return bad(wrong, TLS_FILE_KEY, files->key, err);
	}
	if (SSL_CTX_load_verify_file(ctx, files->ca) != 1)
		return bad(wrong, TLS_FILE_CA, files->ca, err);
	if (files->crl != NULL && !load_crl(ctx, files->crl))
		return bad(wrong, TLS_FILE_CRL, files->crl, err);
	return 0;
}

static SSL_CTX *create(const SSL_METHOD *method, const struct tls_files *files, SSL_CTX *old, enum tls_file *wrong,
		       struct err *err)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (wrong != NULL)
		*wrong = TLS_FILE_NONE;
	ERR_clear_error();
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		err_set(err, ENOMEM, "TLS: %s", reason());
		SSL_CTX_free(ctx);
		return NULL;
	}
	if (load(ctx, files, old, wrong, err) < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	// Buffers only while they are needed: several thousand sessions.
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

SSL_CTX *tls_server_create(const struct tls_files *files, enum tls_file *wrong, struct err *err)
{
	return tls_server_renew(files, NULL, wrong, err);
}

SSL_CTX *tls_server_renew(const struct tls_files *files, SSL_CTX *old, enum tls_file *wrong, struct err *err)
{
	SSL_CTX *ctx = create(TLS_server_method(), files, old, wrong, err);

	if (ctx == NULL)
		return NULL;
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	// Told to clients, which choose their certificate by it.
	SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(files->ca));
	return ctx;
}

SSL_CTX *tls_client_create(const struct tls_files *files, enum tls_file *wrong, struct err *err)
{
	SSL_CTX *ctx = create(TLS_client_method(), files, NULL, wrong, err);

	if (ctx != NULL)
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return ctx;
}

// An ASN.1 text as a C string. false: too long, or a zero byte in it.
static bool text_of(const ASN1_STRING *asn1, char *buf, size_t size)
{
	const unsigned char *data = ASN1_STRING_get0_data(asn1);
	int len = ASN1_STRING_length(asn1);

	if (len < 0 || (size_t)len >= size || memchr(data, '\0', (size_t)len) != NULL)
		return false;
	memcpy(buf, data, (size_t)len);
	buf[len] = '\0';
	return true;
}

// The number of names of our scheme among the alternative ones; the last one in buf.
static int find_uri(const X509 *cert, char *buf, size_t size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int n = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		char uri[4 * PRINCIPAL_NAME_MAX];

		if (name->type != GEN_URI || !text_of(name->d.uniformResourceIdentifier, uri, sizeof(uri)) ||
		    strncmp(uri, URI_SCHEME, strlen(URI_SCHEME)) != 0)
			continue;
		snprintf(buf, size, "%s", uri + strlen(URI_SCHEME));
		n++;
	}
	GENERAL_NAMES_free(names);
	return n;
}

static int find_common_name(const X509 *cert, char *buf, size_t size)
{
	const X509_NAME *subject = X509_get_subject_name(cert);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);

	if (at < 0)
		return 0;
	if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return 2;
	return text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), buf, size);
}

int tls_principal(const X509 *cert, struct principal *out, struct err *err)
{
	char name[4 * PRINCIPAL_NAME_MAX] = "";
	int n = find_uri(cert, name, sizeof(name));
	struct err why;

	if (n == 0)
		n = find_common_name(cert, name, sizeof(name));
	if (n != 1)
		return err_set(err, EINVAL, "the certificate names %s principal", n == 0 ? "no" : "more than one");
	if (principal_parse(name, out, &why) < 0)
		return err_set(err, EINVAL, "the certificate's name \"%.64s\": %s", name, why.msg);
	return 0;
}

const char *tls_refuses(const SSL *ssl, SSL_CTX *ctx)
{
	X509 *cert = SSL_get0_peer_certificate(ssl);
	X509_STORE_CTX *check = X509_STORE_CTX_new();
	int error = X509_V_ERR_OUT_OF_MEM;

	if (cert == NULL)
		error = X509_V_ERR_APPLICATION_VERIFICATION;
	else if (check != NULL &&
		 X509_STORE_CTX_init(check, SSL_CTX_get_cert_store(ctx), cert, SSL_get_peer_cert_chain(ssl)) == 1 &&
		 X509_STORE_CTX_set_default(check, "ssl_client") == 1)
		error = X509_verify_cert(check) == 1 ? X509_V_OK : X509_STORE_CTX_get_error(check);
	X509_STORE_CTX_free(check);
	ERR_clear_error();
	return error == X509_V_OK || error == X509_V_ERR_CRL_HAS_EXPIRED ? NULL : X509_verify_cert_error_string(error);
}

int64_t tls_seconds_left(const SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	int64_t least = INT64_MAX;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		int days, seconds;

		if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(sk_X509_value(chain, i))) == 1 &&
		    days * INT64_C(86400) + seconds < least)
			least = days * INT64_C(86400) + seconds;
	}
	return least;
}

void tls_why(const SSL *ssl, unsigned long error, char *buf, size_t size)
{
	long verify = SSL_get_verify_result(ssl);
	const char *text = error != 0 ? ERR_reason_error_string(error) : NULL;

	if (error == 0)
		snprintf(buf, size, "the handshake was not finished");
	else if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		snprintf(buf, size, "no client certificate");
	else if (verify != X509_V_OK)
		snprintf(buf, size, "certificate: %s", X509_verify_cert_error_string(verify));
	else
		snprintf(buf, size, "%s", text != NULL ? text : "handshake failure");
}

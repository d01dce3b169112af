// SPDX-License-Identifier: Apache-2.0
// libcyaml checks shape and types; its words are turned into "FILE:LINE: KEY: ..." with the help of yaml_index, because
// the lines it reports are those of the enclosing key.
#include "config.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config_check.h"
#include "yaml_index.h"

#define FILE_MAX_BYTES (1 << 20)
#define TEXT_MAX 1024
#define PATH_MAX_LEN 512

#define TEXT(key, type, member) CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER, type, member, 1, TEXT_MAX)
#define TEXT_OPT(key, type, member) \
	CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, type, member, 1, TEXT_MAX)
#define UINT_OPT(key, type, member) CYAML_FIELD_UINT(key, CYAML_FLAG_OPTIONAL, type, member)
#define BOOL_OPT(key, type, member) CYAML_FIELD_BOOL(key, CYAML_FLAG_OPTIONAL, type, member)
#define LIST_OPT(key, member, count, entry) \
	CYAML_FIELD_SEQUENCE_COUNT(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct config, member, count, entry, \
				   0, CYAML_UNLIMITED)

static const cyaml_schema_field_t port_fields[] = {
	TEXT("name", struct config_port, name),
	TEXT("device", struct config_port, device),
	TEXT_OPT("rate", struct config_port, rate),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t port_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_port, port_fields),
};

static const cyaml_schema_field_t host_fields[] = {
	TEXT("name", struct config_host, name),
	TEXT("address", struct config_host, address),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t host_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_host, host_fields),
};

static const cyaml_schema_field_t principal_fields[] = {
	TEXT("name", struct config_principal, name),
	TEXT("os_user", struct config_principal, os_user),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t principal_entry = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct config_principal, principal_fields),
};

static const cyaml_schema_field_t dataplane_fields[] = {
	UINT_OPT("mac_ageing_s", struct config_dataplane, mac_ageing_s),
	UINT_OPT("memory_mb", struct config_dataplane, memory_mb),
	UINT_OPT("mtu", struct config_dataplane, mtu),
	UINT_OPT("policy_wait_ms", struct config_dataplane, policy_wait_ms),
	BOOL_OPT("huge_pages", struct config_dataplane, huge_pages),
	TEXT_OPT("lcores", struct config_dataplane, lcores),
	UINT_OPT("workers", struct config_dataplane, workers),
	BOOL_OPT("poll_always", struct config_dataplane, poll_always),
	BOOL_OPT("drop_fragments", struct config_dataplane, drop_fragments),
	UINT_OPT("simd_max_bits", struct config_dataplane, simd_max_bits),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t tls_fields[] = {
	TEXT("listen", struct config_tls, listen), TEXT("cert", struct config_tls, cert),
	TEXT("key", struct config_tls, key),       TEXT("ca", struct config_tls, ca),
	TEXT_OPT("crl", struct config_tls, crl),   CYAML_FIELD_END,
};

static const cyaml_schema_field_t limits_fields[] = {
	UINT_OPT("all_sessions", struct config_limits, all_sessions),
	UINT_OPT("sessions", struct config_limits, sessions),
	UINT_OPT("requests", struct config_limits, requests),
	UINT_OPT("statements_per_s", struct config_limits, statements_per_s),
	CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
	TEXT_OPT("run_dir", struct config, run_dir),
	TEXT_OPT("state_dir", struct config, state_dir),
	TEXT_OPT("tcp_listen", struct config, tcp_listen),
	CYAML_FIELD_MAPPING("tls", CYAML_FLAG_OPTIONAL, struct config, tls, tls_fields),
	TEXT_OPT("openflow_listen", struct config, openflow_listen),
	TEXT_OPT("openflow_ovsdb", struct config, openflow_ovsdb),
	UINT_OPT("openflow_lease_s", struct config, openflow_lease_s),
	UINT_OPT("openflow_hosts_max", struct config, openflow_hosts_max),
	TEXT_OPT("metrics_listen", struct config, metrics_listen),
	CYAML_FIELD_MAPPING("openflow_tls", CYAML_FLAG_OPTIONAL, struct config, openflow_tls, tls_fields),
	TEXT_OPT("control_user", struct config, control_user),
	TEXT_OPT("log_level", struct config, log_level),
	TEXT_OPT("verify", struct config, verify),
	LIST_OPT("ports", ports, n_ports, &port_entry),
	LIST_OPT("hosts", hosts, n_hosts, &host_entry),
	LIST_OPT("principals", principals, n_principals, &principal_entry),
	CYAML_FIELD_MAPPING("limits", CYAML_FLAG_OPTIONAL, struct config, limits, limits_fields),
	CYAML_FIELD_MAPPING("dataplane", CYAML_FLAG_OPTIONAL, struct config, dataplane, dataplane_fields),
	CYAML_FIELD_END,
};
static const cyaml_schema_value_t config_schema = {
	CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct config, config_fields),
};

// What libcyaml said: the first complaint, and the path from its backtrace (innermost first).
struct complaint {
	char words[256];
	char path[PATH_MAX_LEN];
	bool innermost_is_field; // the path's last part is a field of the mapping that is wrong
	bool has_place;
};

// What is read, what errors call it, and whether the files that it names are read, too.
struct source {
	const char *path, *name;
	bool with_files;
};

static int read_file(const struct source *from, char **text, size_t *len, struct err *err);
static int load(const struct source *from, const char *text, size_t len, struct config **out, struct err *err);
static void on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args);
static int explain(const char *file, struct complaint *said, const struct yaml_index *index, struct err *err);
static int set_defaults(struct config *c, const struct yaml_index *index);

static const cyaml_config_t yaml_conf = {.log_fn = on_log, .mem_fn = cyaml_mem, .log_level = CYAML_LOG_ERROR};

static int load_from(const struct source *from, struct config **out, struct err *err)
{
	char *text = NULL;
	size_t len = 0;
	int ret = read_file(from, &text, &len, err);

	*out = NULL;
	if (ret == 0)
		ret = load(from, text, len, out, err);
	free(text);
	return ret;
}

int config_load(const char *path, struct config **out, struct err *err)
{
	return config_load_as(path, path, true, out, err);
}

int config_load_as(const char *path, const char *name, bool with_files, struct config **out, struct err *err)
{
	const struct source from = {path, name, with_files};

	return load_from(&from, out, err);
}

int config_copy(const char *path, int fd, struct err *err)
{
	const struct source from = {path, path, false};
	char *text = NULL;
	size_t len = 0;
	int ret = read_file(&from, &text, &len, err);

	if (ret < 0)
		return ret;
	flock(fd, LOCK_EX);
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, len, 0) != (ssize_t)len)
		ret = err_set(err, EIO, "%s: no memory for its text", path);
	flock(fd, LOCK_UN);
	free(text);
	return ret;
}

void config_free(struct config *c)
{
	cyaml_free(&yaml_conf, &config_schema, c, 0);
}

static int load(const struct source *from, const char *text, size_t len, struct config **out, struct err *err)
{
	const char *path = from->name;
	struct complaint said = {0};
	cyaml_config_t conf = yaml_conf;
	struct yaml_index index;
	struct config *c = NULL;
	int ret = yaml_index_build(&index, path, text, len, err);

	if (ret < 0)
		return ret;
	conf.log_ctx = &said;
	ret = config_check_text(&index, path, err);
	if (ret == 0 &&
	    cyaml_load_data((const uint8_t *)text, len, &conf, &config_schema, (cyaml_data_t **)&c, NULL) != CYAML_OK)
		ret = explain(path, &said, &index, err);
	if (ret == 0 && (c == NULL || set_defaults(c, &index) < 0))
		ret = err_set(err, ENOMEM, "%s: out of memory", path);
	if (ret == 0)
		ret = config_check(c, &index, path, from->with_files, err);
	yaml_index_free(&index);
	if (ret < 0) {
		config_free(c);
		return ret;
	}
	*out = c;
	return 0;
}

static int read_all(int fd, const char *path, char **text, size_t *len, struct err *err)
{
	char *buf = malloc(FILE_MAX_BYTES + 1);
	size_t n = 0;
	ssize_t got;

	if (buf == NULL)
		return err_set(err, ENOMEM, "%s: out of memory", path);
	while ((got = read(fd, buf + n, FILE_MAX_BYTES + 1 - n)) > 0)
		n += (size_t)got;
	if (got < 0 || n > FILE_MAX_BYTES) {
		int code = got < 0 ? errno : EFBIG;

		free(buf);
		return err_set(err, code, "%s: %s", path,
			       got < 0 ? strerror(code) : "larger than 1 MiB, this is no configuration");
	}
	*text = buf;
	*len = n;
	return 0;
}

static int read_file(const struct source *from, char **text, size_t *len, struct err *err)
{
	const char *path = from->name;
	struct stat st;
	int ret, fd = open(from->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); // a FIFO must not hang the start

	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		ret = err_set(err, EINVAL, "%s: not a regular file", path);
	else if (from->path != from->name && flock(fd, LOCK_SH) < 0) // or config_copy may be half done
		ret = err_set(err, errno, "%s: %s", path, strerror(errno));
	else
		ret = read_all(fd, path, text, len, err);
	close(fd);
	return ret;
}

// Puts part before what is there: the backtrace goes from the inside to the outside.
static void prepend(struct complaint *said, const char *part, bool is_field)
{
	char rest[PATH_MAX_LEN];

	snprintf(rest, sizeof(rest), "%s", said->path);
	snprintf(said->path, sizeof(said->path), "%.200s%s%.300s", part, rest[0] != '\0' && rest[0] != '[' ? "." : "",
		 rest);
	if (!said->has_place)
		said->innermost_is_field = is_field;
	said->has_place = true;
}

static void on_log(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
	struct complaint *said = ctx;
	char line[256], word[128];
	unsigned int n;

	vsnprintf(line, sizeof(line), fmt, args);
	line[strcspn(line, "\n")] = '\0';
	if (said == NULL)
		return;
	if (sscanf(line, " in mapping field '%127[^']'", word) == 1) {
		prepend(said, word, true);
	} else if (sscanf(line, " in sequence entry '%u'", &n) == 1) {
		snprintf(word, sizeof(word), "[%u]", n - 1); // libcyaml counts from 1
		prepend(said, word, false);
	} else if (strstr(line, "in mapping (line") != NULL) {
		said->has_place = true; // a mapping of which no field was read yet: nothing to add to the path
	} else if (said->words[0] == '\0') {
		snprintf(said->words, sizeof(said->words), "%s", strncmp(line, "Load: ", 6) == 0 ? line + 6 : line);
	}
}

static const char *kind_words(const char *type)
{
	static const struct {
		const char *type, *words;
	} table[] = {
		{"SEQUENCE", "a list"},    {"MAPPING", "keys and values"}, {"UINT", "a whole number"},
		{"BOOL", "true or false"}, {"STRING", "one text"},         {"SCALAR", "a single value"},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strncmp(type, table[i].type, strlen(table[i].type)) == 0)
			return table[i].words;
	}
	return "something else";
}

static size_t line_of(const struct yaml_index *index, const char *path, bool last)
{
	size_t line = 1;

	for (size_t i = 0; i < index->n_places; i++) {
		if (strcmp(index->places[i].path, path) != 0)
			continue;
		line = index->places[i].line;
		if (!last)
			break;
	}
	return line;
}

static int complain(const char *file, const struct yaml_index *index, const char *path, bool last, const char *words,
		    struct err *err)
{
	return err_set(err, EINVAL, "%s:%zu: %s%s%s", file, line_of(index, path, last), path,
		       path[0] != '\0' ? ": " : "", words);
}

static void drop_last_part(char *path)
{
	char *dot = strrchr(path, '.');

	if (dot != NULL)
		*dot = '\0';
	else
		path[0] = '\0';
}

static int explain(const char *file, struct complaint *said, const struct yaml_index *index, struct err *err)
{
	char key[128], got[128], words[PATH_MAX_LEN + 256];

	if (sscanf(said->words, "Unexpected key: %127s", key) == 1) {
		// The backtrace names the field read before the unknown one, or none.
		if (said->innermost_is_field)
			drop_last_part(said->path);
		snprintf(words, sizeof(words), "%s%s%s", said->path, said->path[0] != '\0' ? "." : "", key);
		return complain(file, index, words, false, "unknown key", err);
	}
	if (sscanf(said->words, "Missing required mapping field: %127s", key) == 1) {
		if (said->innermost_is_field)
			drop_last_part(said->path);
		snprintf(words, sizeof(words), "the key %s is missing", key);
		return complain(file, index, said->path, false, words, err);
	}
	if (sscanf(said->words, "Mapping field already seen: %127s", key) == 1)
		return complain(file, index, said->path, true, "given twice", err);
	if (sscanf(said->words, "Expecting %127[^,], got event: %127s", key, got) == 2)
		snprintf(words, sizeof(words), "expected %s, got %s", kind_words(key), kind_words(got));
	else if (strncmp(said->words, "STRING length < ", 16) == 0)
		snprintf(words, sizeof(words), "expected a text, got nothing");
	else if (strncmp(said->words, "STRING length > ", 16) == 0)
		snprintf(words, sizeof(words), "a text of more than %d bytes", TEXT_MAX);
	else
		snprintf(words, sizeof(words), "%s", said->words);
	return complain(file, index, said->path, false, words, err);
}

// A text that was not given becomes its default; libcyaml frees it like one that was. -ENOMEM.
static int default_text(char **text, const char *value)
{
	if (*text == NULL)
		*text = strdup(value);
	return *text != NULL ? 0 : -ENOMEM;
}

static int set_defaults(struct config *c, const struct yaml_index *index)
{
	const struct {
		const char *path;
		uint32_t *value, def;
	} numbers[] = {
		{"limits.all_sessions", &c->limits.all_sessions, 8192},
		{"limits.sessions", &c->limits.sessions, 256},
		{"limits.requests", &c->limits.requests, 100000},
		{"limits.statements_per_s", &c->limits.statements_per_s, 20000},
		{"openflow_lease_s", &c->openflow_lease_s, 3600},
		{"openflow_hosts_max", &c->openflow_hosts_max, 1024},
		{"dataplane.mac_ageing_s", &c->dataplane.mac_ageing_s, 300},
		{"dataplane.memory_mb", &c->dataplane.memory_mb, 256},
		{"dataplane.mtu", &c->dataplane.mtu, 1500},
		{"dataplane.policy_wait_ms", &c->dataplane.policy_wait_ms, 2000},
		{"dataplane.simd_max_bits", &c->dataplane.simd_max_bits, 512},
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (yaml_index_find(index, numbers[i].path) == NULL)
			*numbers[i].value = numbers[i].def;
	}
	if (default_text(&c->run_dir, "/run/pane") < 0 || default_text(&c->state_dir, "/var/lib/pane") < 0 ||
	    default_text(&c->log_level, "info") < 0 || default_text(&c->verify, "sample") < 0)
		return -ENOMEM;
	return 0;
}

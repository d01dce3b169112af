// SPDX-License-Identifier: Apache-2.0
#include "recovery.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "codec.h"
#include "journal.h"
#include "log.h"

#define EVERY 20000
#define BYTES_PER_ENTRY 128      // of a checkpoint, paid for by each entry: its cost stays in proportion
#define STEP_BYTES (512 * 1024)  // of a checkpoint, written in one turn
#define BEHIND_MAX_NS 1000000000 // a clock less far behind is waited for
#define LEAP_NS 86400000000000   // a day: worth a line in the log

struct stored_host {
	char name[NAME_MAX_LEN], address[64];
};

struct recovery {
	struct recovery_conf conf;
	struct engine *engine;
	struct nib *nib;
	struct journal *journal;
	size_t n_replayed, n_left_out;
	uint64_t last_bytes;        // of the last checkpoint
	int64_t last_ns;            // of the last advance; 0: none
	bool writing;               // a checkpoint
	bool waits;                 // for the clock to be where it once was
	struct stored_host *stored; // of the checkpoint that was read
	unsigned int n_stored;
};

static const char *address_of(const struct config_host *hosts, unsigned int n, const char *name)
{
	for (unsigned int i = 0; i < n; i++)
		if (strcmp(hosts[i].name, name) == 0)
			return hosts[i].address;
	return NULL;
}

// Tells what has changed since the names were stored; true: something has.
static bool hosts_changed(const struct recovery *r)
{
	bool changed = r->n_stored != r->conf.n_hosts;

	for (unsigned int i = 0; r->stored != NULL && i < r->n_stored; i++) {
		const struct stored_host *was = &r->stored[i];
		const char *is = address_of(r->conf.hosts, r->conf.n_hosts, was->name);

		if (is != NULL && strcmp(is, was->address) == 0)
			continue;
		changed = true;
		log_warning("host %s was %s and is %s now: requests accepted with that name keep %s", was->name,
			    was->address, is != NULL ? is : "unknown", was->address);
	}
	return changed;
}

static bool is_request(const char *statement, size_t len)
{
	size_t n = 0;
	const struct cmd_info *info;

	while (n < len && isalpha((unsigned char)statement[n]))
		n++;
	info = cmd_table_find(statement, n);
	return info != NULL && (info->verb == VERB_ALLOW || info->verb == VERB_DENY || info->verb == VERB_RESERVE ||
				info->verb == VERB_RATELIMIT || info->verb == VERB_WAYPOINT ||
				info->verb == VERB_AVOID || info->verb == VERB_HINT);
}

static int replay(void *ctx, int64_t time_ns, const struct principal *speaker, const char *statement, size_t len)
{
	struct recovery *r = ctx;
	struct reply reply;

	reply_init(&reply);
	engine_exec(r->engine, speaker, statement, len, time_ns, &reply);
	r->n_replayed++;
	if (reply.code != REPLY_OK) {
		const char *why = json_string_value(json_object_get(reply.body, "why"));

		r->n_left_out++;
		if (is_request(statement, len))
			engine_skip_number(r->engine); // later entries name theirs
		log_error("journal: accepted earlier, now refused (%s: %s) and left out: %s : %.*s",
			  reply_code_name(reply.code), why != NULL ? why : "", speaker->user,
			  len < 400 ? (int)len : 400, statement);
	}
	reply_fini(&reply);
	return 0;
}

// A checkpoint is the host names that it and the entries behind it were read with, then the engine's bytes.
static void host_fields(struct codec *c, struct stored_host *host)
{
	codec_text(c, host->name, sizeof(host->name));
	codec_text(c, host->address, sizeof(host->address));
}

static int begin_checkpoint(struct recovery *r, struct err *err)
{
	struct codec c = codec_writer();
	struct checkpoint engine;

	codec_count(&c, r->conf.n_hosts);
	for (unsigned int i = 0; i < r->conf.n_hosts; i++) {
		struct stored_host host;

		snprintf(host.name, sizeof(host.name), "%s", r->conf.hosts[i].name);
		snprintf(host.address, sizeof(host.address), "%s", r->conf.hosts[i].address);
		host_fields(&c, &host);
	}
	if (engine_save(r->engine, &engine) < 0)
		c.failed = true;
	codec_bytes(&c, engine.bytes, engine.n);
	free(engine.bytes);
	if (c.failed) {
		codec_fini(&c);
		return err_set(err, ENOMEM, "journal %s: no memory for a checkpoint", r->conf.path);
	}
	r->last_bytes = c.n;
	journal_checkpoint_begin(r->journal, &(struct checkpoint){c.data, c.n});
	r->writing = true;
	return 0;
}

// A whole one in this transaction.
static int checkpoint_now(struct recovery *r, struct err *err)
{
	if (begin_checkpoint(r, err) < 0 || journal_checkpoint_step(r->journal, SIZE_MAX, err) < 0)
		return -EIO;
	return journal_commit(r->journal, err);
}

static int load_checkpoint(struct recovery *r, const struct checkpoint *saved, struct err *err)
{
	struct codec c = codec_reader(saved->bytes, saved->n);
	struct err why;

	r->n_stored = codec_count(&c, 0);
	r->stored = calloc(r->n_stored + 1, sizeof(*r->stored));
	if (r->stored == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < r->n_stored; i++)
		host_fields(&c, &r->stored[i]);
	if (c.failed)
		return err_set(err, EIO, "journal %s: damaged: the checkpoint's host names", r->conf.path);
	nib_hosts_forget(r->nib);
	for (unsigned int i = 0; i < r->n_stored; i++)
		if (nib_host_add(r->nib, r->stored[i].name, r->stored[i].address, err) < 0)
			return -EINVAL;
	if (engine_load(r->engine, saved->bytes + c.at, saved->n - c.at, &why) < 0)
		return err_set(err, why.code, "journal %.200s: %.280s", r->conf.path, why.msg);
	r->last_bytes = saved->n;
	return 0;
}

// fresh: there was no checkpoint. What is behind it is then read with the names of the configuration, which the nib
// has.
static int bring_back(struct recovery *r, bool *fresh, struct err *err)
{
	struct checkpoint saved;
	int rc = journal_checkpoint_read(r->journal, &saved, err);

	*fresh = rc == 0;
	if (rc > 0) {
		rc = load_checkpoint(r, &saved, err);
		free(saved.bytes);
	}
	if (rc == 0)
		rc = journal_replay(r->journal, replay, r, err);
	if (rc < 0)
		return rc;
	nib_hosts_forget(r->nib);
	for (unsigned int i = 0; i < r->conf.n_hosts; i++)
		if (nib_host_add(r->nib, r->conf.hosts[i].name, r->conf.hosts[i].address, err) < 0)
			return -EINVAL;
	return 0;
}

static int open_all(struct recovery *r, int64_t now_ns, struct err *err)
{
	bool fresh;

	r->journal = journal_open(r->conf.path, err);
	if (r->journal == NULL || bring_back(r, &fresh, err) < 0)
		return -EIO;
	r->writing = true; // what a crash has left undone
	log_info("journal %s: %zu requests; %zu statements read again behind a checkpoint of %" PRIu64
		 " bytes, %zu of them left out",
		 r->conf.path, engine_n_requests(r->engine), r->n_replayed, r->last_bytes, r->n_left_out);
	if ((hosts_changed(r) || fresh) && checkpoint_now(r, err) < 0)
		return -EIO;
	return recovery_advance(r, now_ns, err);
}

struct recovery *recovery_open(const struct recovery_conf *conf, struct engine *engine, struct nib *nib, int64_t now_ns,
			       struct err *err)
{
	struct recovery *r = calloc(1, sizeof(*r));

	if (r == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	r->conf = *conf;
	r->engine = engine;
	r->nib = nib;
	if (r->conf.checkpoint_every == 0)
		r->conf.checkpoint_every = EVERY;
	if (open_all(r, now_ns, err) == 0)
		return r;
	recovery_close(r, false);
	return NULL;
}

void recovery_close(struct recovery *r, bool clean)
{
	struct err err;

	if (r == NULL)
		return;
	if (clean && journal_behind(r->journal) > 0 && checkpoint_now(r, &err) < 0)
		log_warning("no checkpoint at the end: %s", err.msg);
	journal_close(r->journal);
	free(r->stored);
	free(r);
}

// The clock says less than the engine once took it for.
static int go_back(struct recovery *r, int64_t now_ns, struct err *err)
{
	int64_t behind_ns = engine_now_ns(r->engine) - now_ns;
	int rc;

	if (r->waits)
		return 0;
	rc = engine_set_back(r->engine, now_ns, err);
	if (rc == -EAGAIN) {
		r->waits = true;
		log_warning("the clock is %s behind what it once was, and the reservations do not fit from there on: "
			    "nothing starts or ends until it is there again, or they are cancelled",
			    answer_duration(behind_ns).text);
		return 0;
	}
	if (rc < 0)
		return rc;
	log_warning("the clock is %s behind what it once was: goes on at t=%s; what was over then stays over",
		    answer_duration(behind_ns).text, answer_time(now_ns).text);
	// Entries read again would be taken at the later time: they are replaced by a checkpoint.
	return checkpoint_now(r, err);
}

int recovery_advance(struct recovery *r, int64_t now_ns, struct err *err)
{
	if (now_ns >= engine_now_ns(r->engine) - BEHIND_MAX_NS)
		r->waits = false;
	else if (go_back(r, now_ns, err) < 0)
		return -EIO;
	if (r->last_ns > 0 && now_ns - r->last_ns > LEAP_NS)
		log_warning("the clock went on by %s at once: what is over by t=%s ends now",
			    answer_duration(now_ns - r->last_ns).text, answer_time(now_ns).text);
	r->last_ns = now_ns;
	engine_advance(r->engine, now_ns);
	return 0;
}

int recovery_append(struct recovery *r, const struct principal *speaker, const char *statement, size_t len,
		    struct err *err)
{
	// The engine's own time, not the clock's: they differ while a clock that was set back catches up.
	return journal_append(r->journal, engine_now_ns(r->engine), speaker, statement, len, err);
}

static bool is_due(const struct recovery *r)
{
	uint64_t every = r->last_bytes / BYTES_PER_ENTRY;

	if (every < r->conf.checkpoint_every)
		every = r->conf.checkpoint_every;
	return journal_behind(r->journal) >= every;
}

int recovery_commit(struct recovery *r, struct err *err)
{
	int rc = r->writing ? journal_checkpoint_step(r->journal, STEP_BYTES, err) : 0;

	if (rc < 0 || journal_commit(r->journal, err) < 0)
		return -EIO;
	r->writing = rc > 0;
	// The next turn writes the first of it.
	if (!r->writing && is_due(r) && begin_checkpoint(r, err) < 0) {
		log_warning("%s", err->msg);
		r->last_bytes *= 2; // tried again later
	}
	return r->writing;
}

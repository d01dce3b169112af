// SPDX-License-Identifier: Apache-2.0
// What the files of layers share: layers.c (changes, views), layers_merge.c (builders), layers_run.c (lookup).
#pragma once
#include <pthread.h>
#include <semaphore.h>

#include "layers.h"

enum build_state {
	BUILD_IDLE,  // the link thread's
	BUILD_ASKED, // the builder's
	BUILD_DONE,  // the link thread's again
};

enum builder_id {
	BUILDER_SMALL, // arrays and small layers: quick, often
	BUILDER_LARGE, // the largest layer
	N_BUILDERS,
};

// A list of slots, doubling.
struct slot_list {
	uint32_t *slot;
	uint32_t n, cap;
};

// One build: rows in, a layer out. Whose it is says state.
struct builder {
	struct layers *l;
	pthread_t thread;
	bool started;
	sem_t wake;
	_Atomic bool stop;
	_Atomic int state; // enum build_state
	// asked
	uint64_t uid, gen; // rows that are dead under gen are left out
	bool adds_layer;   // a place is reserved
	uint32_t *rows;    // slots
	uint32_t n_rows;
	bool is_merge;
	struct layers_batch *batch; // no merge: whose rows they are; NULL: the batch is gone
	struct slot_list orphan;    // then its slots
	// done
	struct layer *layer; // NULL: failed, or no rows
	struct slot_list dropped;
	struct err err;
	bool failed;
	int64_t asked_ns;
};

// What a merge has replaced and readers may still see. In order of retirement; then a builder destroys it.
struct retired {
	struct retired *next;
	uint64_t token;
	bool has_token;
	struct row_array *array[LAYERS_ARRAYS_MAX];
	struct layer *layer[LAYERS_MAX];
	uint32_t n_arrays, n_layers;
	struct slot_list dropped;
};

struct layers {
	struct layers_conf conf;
	const struct row_kernel *kernel;
	struct cls_slots slots;
	uint32_t *free_slot;                 // ring of slots used before, [slots.cap]
	uint32_t free_head, n_free, n_fresh; // n_fresh: slots never used begin there
	uint64_t gen, epoch;
	struct row_array *array[LAYERS_ARRAYS_MAX]; // the last one is open unless it is full or a builder's
	struct layer *layer[LAYERS_MAX];
	struct builder *array_by[LAYERS_ARRAYS_MAX], *layer_by[LAYERS_MAX]; // merging it; NULL: nobody
	uint32_t n_arrays, n_layers;
	uint32_t n_reserved; // places in layer[] kept for batches' layers and merges' results
	uint32_t n_alive, n_dead;
	struct retired *retired, **retired_end; // oldest first
	struct builder builder[N_BUILDERS];
	_Atomic(struct retired *) garbage; // for the small builder to destroy: rte_acl's memory is behind EAL's locks
	int fd;
	int64_t now_ns, commit_ns, retry_ns[N_BUILDERS], small_ns, large_ns; // not before, merges that need not be
	struct layers_stats stats;
};

struct layers_batch {
	struct layers *l;
	struct slot_list add, del;
	uint32_t n_cancelled;
	struct layer *layer;      // of add, once built,
	struct slot_list dropped; // without these, cancelled before
	struct builder *builder;  // building it
	struct err err;           // why that failed
	bool failed;
};

int slot_list_add(struct slot_list *list, uint32_t slot);
void slot_list_fini(struct slot_list *list);

// Back to be used again: nobody sees them.
void layers_free_slots(struct layers *l, const struct slot_list *slots);
// What has been replaced: readers may see it until a grace period after the next view. Takes r over.
void layers_retire(struct layers *l, struct retired *r);
void layers_destroy_retired(struct retired *r); // accepts NULL

// layers_merge.c
int layers_builders_start(struct layers *l, struct err *err);
void layers_builders_stop(struct layers *l);
// Starts building the batch's layer. 0, or -EAGAIN: both builders are busy or there is no place; -ENOMEM.
int layers_build_batch(struct layers_batch *b, struct err *err);
bool layers_merges_poll(struct layers *l); // true: the view has changed

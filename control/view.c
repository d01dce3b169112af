// SPDX-License-Identifier: Apache-2.0
#include "view.h"

static const char *view_name(uint32_t bits)
{
	static const char *const names[] = {"traffic", "ports", "links", "hosts", "queues", "schedule"};
	unsigned int i = 0;

	while (i + 1 < sizeof(names) / sizeof(names[0]) && (bits & 1u << i) == 0)
		i++;
	return names[i];
}

static bool shows(const struct share *share, uint32_t bits)
{
	return share->privileges.query && (share->privileges.view & bits) == bits;
}

const struct share *view_through(const struct state *s, const struct principal *speaker, const struct share *share,
				 uint32_t bits)
{
	bool registered = state_registered(s, speaker);

	for (share = share_speaks_above(share, speaker, registered); share != NULL && !shows(share, bits);)
		share = share_speaks_above(share->parent, speaker, registered);
	return share;
}

const struct share *view_share(const struct state *s, const struct principal *speaker, const struct share *share,
			       uint32_t bits, struct reply *reply)
{
	const struct share *through = view_through(s, speaker, share, bits);

	if (through != NULL)
		return through;
	if (share_speaks_above(share, speaker, state_registered(s, speaker)) == NULL)
		reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s nor of one above",
			     speaker->user, share->name);
	else if (view_through(s, speaker, share, 0) == NULL)
		reply_refuse(reply, REPLY_NO_PRIVILEGE, "share %s has query = False", share->name);
	else
		reply_refuse(reply, REPLY_NO_PRIVILEGE, "the view of share %s has no %s", share->name, view_name(bits));
	return NULL;
}

int view_anywhere(const struct state *s, const struct principal *speaker, enum view bit, struct reply *reply)
{
	const struct share *root = s->shares.root;
	bool registered = state_registered(s, speaker);

	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		if (shows(share, bit) && share_speaks(share, speaker, registered))
			return 0;
	return reply_refuse(reply, REPLY_NO_PRIVILEGE, "%s speaks for no share whose view has %s", speaker->user,
			    view_name(bit));
}

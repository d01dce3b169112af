// SPDX-License-Identifier: Apache-2.0
#include "sched_plan.h"

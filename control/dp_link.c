// SPDX-License-Identifier: Apache-2.0
#include "dp_link.h"

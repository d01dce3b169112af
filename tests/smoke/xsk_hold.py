#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Another program's AF_XDP socket: bound to QUEUE of INTERFACE until it is killed. Says "bound" when it is.

  xsk_hold.py INTERFACE QUEUE
"""
import ctypes
import mmap
import os
import signal
import socket
import struct
import sys

AF_XDP, SOL_XDP = 44, 283
RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 2, 4, 5, 6
FRAMES, FRAME_BYTES, RING = 64, 4096, 64

libc = ctypes.CDLL(None, use_errno=True)
s = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
area = mmap.mmap(-1, FRAMES * FRAME_BYTES)
address = ctypes.addressof(ctypes.c_char.from_buffer(area))
s.setsockopt(SOL_XDP, UMEM_REG, struct.pack("=QQIII4x", address, FRAMES * FRAME_BYTES, FRAME_BYTES, 0, 0))
for ring in (FILL_RING, COMPLETION_RING, RX_RING):
    s.setsockopt(SOL_XDP, ring, struct.pack("=I", RING))
where = struct.pack("=HHIII", AF_XDP, 0, socket.if_nametoindex(sys.argv[1]), int(sys.argv[2]), 0)
if libc.bind(s.fileno(), where, len(where)) < 0:
    sys.exit("bind: " + os.strerror(ctypes.get_errno()))
print("bound", flush=True)
signal.pause()

#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An application that knows nothing of switches: bytes over TCP and UDP, whose digest comes back.

transfer.py serve ADDRESS PORT        says "listening", answers until it is ended
transfer.py send ADDRESS PORT BYTES   status 0: what arrived is what was sent, over TCP and in datagrams of many sizes
"""
import hashlib
import random
import socket
import sys
import threading

DATAGRAMS = (1, 2, 3, 17, 100, 555, 1000, 1451, 1452)  # bytes: up to an MTU of 1500 with IPv6
TRIES = 40  # a datagram may be lost
PATIENCE_S = 60


def open_socket(kind, address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    s = socket.socket(family, kind)
    s.settimeout(PATIENCE_S)
    return s


def serve_tcp(s):
    while True:
        conn, _ = s.accept()
        digest = hashlib.sha256()
        conn.settimeout(PATIENCE_S)
        try:
            while chunk := conn.recv(65536):
                digest.update(chunk)
            conn.sendall(digest.digest())
        except OSError as e:
            print(e, flush=True)
        conn.close()


def serve_udp(s):
    while True:
        data, sender = s.recvfrom(65536)
        s.sendto(hashlib.sha256(data).digest(), sender)


def serve(address, port):
    tcp, udp = open_socket(socket.SOCK_STREAM, address), open_socket(socket.SOCK_DGRAM, address)
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    tcp.bind((address, port))
    udp.bind((address, port))
    tcp.listen()
    for s in (tcp, udp):
        s.settimeout(None)
    threading.Thread(target=serve_udp, args=(udp,), daemon=True).start()
    print("listening", flush=True)
    serve_tcp(tcp)


def send_tcp(address, port, data):
    s = open_socket(socket.SOCK_STREAM, address)
    s.connect((address, port))
    s.sendall(data)
    s.shutdown(socket.SHUT_WR)
    got = b""
    while chunk := s.recv(64):
        got += chunk
    if got != hashlib.sha256(data).digest():
        sys.exit("TCP: what arrived is not what was sent")


def send_udp(address, port, data):
    s = open_socket(socket.SOCK_DGRAM, address)
    s.connect((address, port))
    s.settimeout(1)
    for _ in range(TRIES):
        s.send(data)
        try:
            while s.recv(64) != hashlib.sha256(data).digest():
                pass  # of a try before
            return
        except OSError:
            pass
    sys.exit(f"UDP: no datagram of {len(data)} bytes came back")


def send(address, port, n):
    random.seed(1)
    send_tcp(address, port, random.randbytes(n))
    for size in DATAGRAMS:
        send_udp(address, port, random.randbytes(size))


if sys.argv[1] == "serve":
    serve(sys.argv[2], int(sys.argv[3]))
else:
    send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))

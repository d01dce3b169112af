#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Frames for frames_test.sh and random_test.sh, as pcap files. Only what Debian's perl-base has.
#   frames.pl known IN PASS      the known frames; those that must pass the policy of frames_test.sh
#   frames.pl random IN N SEED   N random frames: noise, and known frames with bytes changed, cut or added
#   frames.pl none IN            a pcap without frames
#   frames.pl text PCAP          one line of hex a frame
use strict;
use warnings;

my %mac = (A => '020000000001', A2 => '0200000000a2', B => '020000000002', E => '020000000066', all => 'ffffffffffff',
	   group => '01005e000001');

sub checksum {
	my $data = shift;
	my $sum = 0;
	$sum += $_ for unpack 'n*', $data . (length($data) % 2 ? "\0" : '');
	$sum = ($sum >> 16) + ($sum & 0xffff) while $sum >> 16;
	return ~$sum & 0xffff;
}

sub eth { # to, from, type, payload, tags...: padded to 60 bytes as a NIC does
	my ($to, $from, $type, $payload, @tags) = @_;
	my $f = pack('H12H12', $mac{$to}, $mac{$from});
	while (my ($tpid, $tci) = splice @tags, 0, 2) {
		$f .= pack 'nn', $tpid, $tci;
	}
	$f .= pack('n', $type) . $payload;
	return $f . "\0" x (length $f < 60 ? 60 - length $f : 0);
}

sub ip4 { # from, to (last byte), protocol, payload, flags and offset, options
	my ($from, $to, $proto, $payload, $frag, $options) = @_;
	$options //= '';
	my $head = sub {
		pack('CCnnnCCnC4C4', 0x45 + length($options) / 4, 0, 20 + length($options) + length $payload, 7, $frag // 0, 64,
		     $proto, shift, 10, 0, 0, $from, 10, 0, 0, $to) . $options;
	};
	return $head->(checksum($head->(0))) . $payload;
}

sub ip6 {
	my ($proto, $payload) = @_;
	my $net = '20010db8' . '0' x 22;
	return pack('NnCCH32H32', 6 << 28, length $payload, $proto, 64, $net . '01', $net . '02') . $payload;
}

sub udp {
	my ($port, $n) = @_;
	return pack('nnnn', 4000, $port, 8 + $n, 0) . 'x' x $n;
}

sub tcp {
	return pack('nnNNCCnnn', 4000, shift, 1, 0, 0x50, 2, 1000, 0, 0);
}

# [passes, frame] in the order of their arrival. Policy: deny UDP to port 53 from .1 to .2, vlan 20, and all of MAC E.
sub known {
	my $arp = pack 'nnCCnH12C4H12C4', 1, 0x800, 6, 4, 1, $mac{A}, 10, 0, 0, 1, '0' x 12, 10, 0, 0, 2;
	my $dns = ip4(1, 2, 17, udp(53, 30));
	my $other = ip4(1, 2, 17, udp(54, 30));
	return (
		[1, eth('all', 'A', 0x806, $arp)],
		[1, eth('all', 'A2', 0x806, $arp)],
		[0, eth('B', 'A', 0x800, $dns)],
		[1, eth('B', 'A', 0x800, $other)],
		[1, eth('B', 'A', 0x800, ip4(2, 1, 17, udp(53, 30)))], # the other direction
		[1, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(54, 0)))], # padded
		[0, eth('B', 'A', 0x800, $dns, 0x8100, 10)], # a tag does not hide it
		[1, eth('B', 'A', 0x800, $other, 0x8100, 10)],
		[1, eth('B', 'A', 0x800, $other, 0x8100, 0xe00a)], # priority 7
		[0, eth('B', 'A', 0x800, $other, 0x8100, 20)],
		[0, eth('all', 'A', 0x806, $arp, 0x8100, 20)],
		[1, eth('B', 'A', 0x800, $other, 0x88a8, 30, 0x8100, 10)],
		[0, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(53, 1400), 0x2000))], # first fragment: has ports
		[1, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(53, 1400), 0x20b0))], # a later one has none
		[1, eth('B', 'A', 0x800, ip4(1, 2, 17, 'z' x 40, 0x0160))], # the last one
		[0, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(53, 30), 0, "\x94\x04\0\0"))], # IP options move the ports
		[1, eth('B', 'A', 0x800, ip4(1, 2, 6, tcp(53)))], # TCP
		[1, eth('B', 'A', 0x86dd, ip6(17, udp(53, 30)))],
		[1, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(54, 1472)))], # 1514 bytes
		[1, eth('B', 'A', 0x800, ip4(1, 2, 17, udp(54, 1472)), 0x8100, 10)], # 1518
		[1, eth('group', 'A', 0x800, ip4(1, 2, 17, udp(54, 30)))],
		[0, eth('B', 'E', 0x800, $other)],
		[0, eth('all', 'E', 0x806, $arp)],
		[0, eth('A2', 'A', 0x800, $other)], # lives on the port it came from
		[1, eth('B', 'A', 0x88b5, 'local experiment')],
	);
}

sub pcap {
	my ($file, @frames) = @_;
	open my $out, '>:raw', $file or die "$file: $!\n";
	print $out pack('VvvVVVV', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1);
	print $out pack('VVVV', 0, 0, length, length) . $_ for @frames;
	close $out or die "$file: $!\n";
}

sub random_frame {
	my @known = @_;
	return join '', map { chr int rand 256 } 1 .. 14 + rand 300 if rand() < 0.3;
	my $f = $known[rand @known][1];
	substr($f, rand length $f, 1) = chr int rand 256 for 1 .. 1 + rand 6;
	substr($f, 12 + rand 30) = '' if rand() < 0.3; # cut inside the headers
	$f .= 'y' x rand 200 if rand() < 0.2;
	return $f;
}

my ($verb, $file, @args) = @ARGV;
if ($verb eq 'known') {
	my @known = known();
	pcap($file, map { $_->[1] } @known);
	pcap($args[0], map { $_->[1] } grep { $_->[0] } @known);
} elsif ($verb eq 'random') {
	my ($n, $seed) = @args;
	my @known = known();
	srand $seed;
	pcap($file, map { random_frame(@known) } 1 .. $n);
} elsif ($verb eq 'none') {
	pcap($file);
} elsif ($verb eq 'text') {
	open my $in, '<:raw', $file or die "$file: $!\n";
	local $/;
	my $data = <$in>;
	die "$file: no pcap\n" if length $data < 24;
	for (my $at = 24; $at + 16 <= length $data;) {
		my ($len) = unpack 'x8V', substr $data, $at, 16;
		print unpack('H*', substr $data, $at + 16, $len), "\n";
		$at += 16 + $len;
	}
} else {
	die "known, random, none or text\n";
}

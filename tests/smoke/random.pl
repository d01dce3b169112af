#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# random.pl N SEED: N random statements, from nearly right to noise, one a line. For random_test.sh.
use strict;
use warnings;

my ($n, $seed) = @ARGV;
srand $seed;

sub pick {
	return $_[rand @_];
}

my @shares = qw(rootShare net0 s1 s2 s3 nowhere $x -);
my @users = qw(root alice bob carol nobody 7);
my @verbs = qw(allow deny reserve ratelimit);
my @hosts = qw(10.0.0.1 10.0.0.2 10.0.0.0/8 10.1/16 2001:db8::1 ::/0 999.1.1.1 h9 0.0.0.0/0);
my @rates = qw(1 5Mb 10kb 2Gb 0 -1 9223372036854775807 9223372036854775808 99999999999999999999Gb 1x);
my @times = qw(now +0 +1 +10s +5min +2h +1d forever 0 5 4102444800 2026-11-20T10:00:00Z 9999-12-31T23:59:59Z +9e9 -3);

sub test {
	my @t = (sub { pick('srcHost', 'dstHost', 'srcIP', 'dstIP') . '=' . pick(@hosts) },
		 sub { pick('srcPort', 'dstPort') . pick('=', '<=', '>=') . pick(0, 80, '1-5', 65535, 65536, '9-1', '{80,443}', '!{1-9}') },
		 sub { pick('transport', 'proto') . '=' . pick('TCP', 'UDP', 'ICMP', 6, 255, 256, 'IP') },
		 sub { pick('srcUser', 'dstUser', 'user') . '=' . pick(@users, '!{alice}', '{alice,bob}') },
		 sub { pick('srcEth', 'dstEth') . '=' . pick('02:00:00:00:00:01', 'ff:ff:ff:ff:ff:ff', '02:00') },
		 sub { 'vlan=' . pick(0, 10, 4095, 4096) },
		 sub { 'kind=' . pick('ip4', 'nonip', '{ip4,ip6}', 'x') });
	return $t[rand @t]->();
}

# Mostly narrow and soon over: where hundreds of wide requests meet, the flow table has no room for them and the
# controller is busy with finding that out; that is another test's business.
sub flows {
	return '(*)' if rand() < 0.02;
	return sprintf '(srcHost=10.%d.%d.%d, dstHost=10.%d.%d.%d%s)', (map { rand 256 } 1 .. 6), rand() < 0.3 ? ', ' . test() : ''
		if rand() < 0.9;
	return '(' . join(pick(',', ', ', ' '), map { test() } 1 .. 1 + rand 3) . ')';
}

sub statement {
	my $r = rand;
	return 'AddUser ' . pick(@users) . '.' if $r < 0.05;
	return 'NewShare ' . pick(@shares) . ' for ' . flows() . ' [' . join(pick(' ', ', '),
		map { pick('reserve <= ', 'reserve >= ', 'ratelimit >= ', 'reserveTBFill = ', 'reserveTBCapacity = ') . pick(@rates) }
		0 .. rand 3) . '] on ' . pick(@shares) . '.' if $r < 0.15;
	return pick('Grant ', 'GrantDefault ') . pick(@shares) . pick('', ' to ' . pick(@users)) . '.' if $r < 0.2;
	return pick('GetSchedule ', 'ListRequests ') . pick(@shares) . '.' if $r < 0.22;
	return pick('ListShares.', 'ListSharesByFlowGroup ' . flows() . '.', 'cancel ' . int(rand 2000) . '.', 'time.', 'ports.')
		if $r < 0.4;
	return pick('Bind ', 'Unbind ') . pick(@users) . pick(' to ', ' from ') . pick(@hosts) . '.' if $r < 0.45;
	return pick(@verbs) . flows() . pick('', ' = ' . pick(@rates)) . pick('', '', ' strict', ' partial') . ' on ' . pick(@shares) .
		(rand() < 0.1 ? ' from ' . pick(@times) : '') . ' to ' . (rand() < 0.1 ? pick(@times) : '+' . int(1 + rand 2)) . '.';
}

# Noise: bytes changed, cut or doubled. The last dot stays, and no comment is opened, so that lines stay statements.
sub noise {
	my $s = substr $_[0], 0, -1;
	for (1 .. 1 + rand 4) {
		my $at = rand(1 + length $s);
		my $r = rand;
		if ($r < 0.5) {
			substr($s, $at, $at < length $s ? 1 : 0) = chr int rand 256;
		} elsif ($r < 0.75) {
			$s = substr $s, 0, $at;
		} else {
			$s .= substr $s, $at;
		}
	}
	$s =~ s{[\n/]}{ }g;
	$s =~ s/quit|mode/q/g;
	return "$s.";
}

for (1 .. $n) {
	my $s = statement();
	print rand() < 0.4 ? noise($s) : $s, "\n";
}

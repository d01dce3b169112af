#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# Runs every example of a document through `panectl script --offline` and compares the answers shown.
#   language_test.pl PANECTL DOCUMENT [--update]
# Examples are fenced blocks that begin with ```pane (answers for people) or ```json (as they come). Their statements
# are one script from the document's first to its last. --update writes the answers that come into the document.
use strict;
use warnings;
use File::Temp;

my ($panectl, $path, $update) = @ARGV;
$ENV{LC_ALL} = 'C.UTF-8'; # trees are drawn in it
my $statement = qr/^[\w\$][\w\$@.\/-]* : /;
open(my $in, '<', $path) or die "$path: $!\n";
my @lines = <$in>;
my $script = File::Temp->new(SUFFIX => '.pane');
my $kind = '';
for my $line (@lines) {
	if ($line =~ /^```(\w*)/) {
		$kind = $kind eq '' ? $1 : '';
	} elsif ($kind =~ /^(pane|json)$/ && $line =~ $statement) {
		print $script $line;
	}
}
close($script);

# The answers, each with the statement before it.
sub answers {
	my ($option) = @_;
	my (@all, @now);

	open(my $out, '-|', "'$panectl' script '$script' --offline $option 2>&1") or die "$panectl: $!\n";
	while (my $line = <$out>) {
		push(@all, '') if $option ne '' || $line =~ $statement;
		$all[-1] .= $line if $option ne '' || $line !~ $statement;
		die "$panectl: $line" if $line =~ /^panectl:/;
	}
	close($out);
	return @all;
}
my @for_people = answers('');
my @as_json = answers('--json');
my ($next, $differ, $expected, $shown, $where) = (0, 0, undef, '', '');
my @new;

sub compare {
	return unless defined $expected;
	if ($shown ne $expected) {
		$differ++;
		print "$path:$where shows\n$shown  and the answer is\n$expected" unless $update;
	}
	push(@new, $update ? $expected : $shown);
	undef $expected;
}
$kind = '';
for (my $i = 0; $i < @lines; $i++) {
	my $line = $lines[$i];

	if ($line =~ /^```(\w*)/) {
		compare();
		$kind = $kind eq '' ? ($1 eq '' ? 'text' : $1) : '';
		push(@new, $line);
	} elsif ($kind =~ /^(pane|json)$/ && $line =~ $statement) {
		compare();
		$expected = ($kind eq 'json' ? \@as_json : \@for_people)->[$next++] // "no answer\n";
		($shown, $where) = ('', $i + 1 . ": $line");
		push(@new, $line);
	} elsif (defined $expected) {
		$shown .= $line;
	} else {
		push(@new, $line);
	}
}
if ($update) {
	open(my $out, '>', $path) or die "$path: $!\n";
	print $out @new;
	close($out);
}
print "$next examples, $differ ", $update ? 'changed' : 'not as shown', "\n";
exit($next == 0 || (!$update && $differ > 0));

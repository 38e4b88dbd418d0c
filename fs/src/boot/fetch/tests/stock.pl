#!/usr/bin/perl
# What a stock management server says on port 3001, as far as it can be had without one: written with the two libraries that xCAT
# itself answers with, IO::Socket::SSL and XML::Simple, and used in the same way. Arguments: certificate and key. Standard input: one
# answer a line, as COMMAND, a tab and the text; the command "denied" refuses all. It prints its port and serves until it is killed.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::SSL;
use XML::Simple;

my ($certificate, $key) = @ARGV;
my (%answers, $denied);
while (my $line = <STDIN>) {
    chomp $line;
    my ($command, $text) = split /\t/, $line, 2;
    $denied = 1 if $command eq 'denied';
    push @{ $answers{$command} }, $text;
}
my $listener = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => 0, Listen => 8) or die "listen: $!";
$| = 1;
print $listener->sockport, "\n";
$SIG{CHLD} = 'IGNORE';

while (my $peer = $listener->accept) {
    next if fork;
    IO::Socket::SSL->start_SSL(
        $peer,
        SSL_server      => 1,
        SSL_cert_file   => $certificate,
        SSL_key_file    => $key,
        SSL_verify_mode => SSL_VERIFY_NONE,
    ) or exit 1;
    my $request = '';
    while (my $line = <$peer>) {
        $request .= $line;
        next unless $line =~ m{</xcatrequest>};
        my $asked = XMLin($request, SuppressEmpty => undef, ForceArray => 1)->{command}[0];
        $request = '';
        if ($denied) {
            answer($peer, { error => ['Permission denied for request'], errorcode => [1] });
        } else {
            answer($peer, { info => [$_], xcatdsource => ['mn'] }) for @{ $answers{$asked} };
        }
        answer($peer, { serverdone => [undef] });
    }
    exit 0;
}

sub answer {
    my ($peer, $what) = @_;
    my $text = XMLout($what, RootName => 'xcatresponse', NoAttr => 1);
    $text =~ tr/\011-\177/?/c;
    print $peer $text;
}

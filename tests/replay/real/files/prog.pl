use Time::HiRes qw(time sleep); use POSIX ();
print time, " $$ ", rand(), "\n"; my %h = map { $_ => rand } 1 .. 20; print join(",", keys %h), "\n";
pipe(my $r, my $w); if (my $pid = fork) { close $w; print "child says: ", <$r>; waitpid $pid, 0; print $? >> 8, "\n" }
else { close $r; print $w "pid $$\n"; close $w; POSIX::_exit(5) }
$SIG{ALRM} = sub { die "alarm\n" }; eval { alarm 1; sleep 5 }; print $@; print `date +%N`;

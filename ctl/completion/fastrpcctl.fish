# fish completion for fastrpcctl(1)

function __fastrpcctl_domains
    fastrpcctl --no-legend -q domain list 2>/dev/null | string replace -r '\s.*' ''
end
function __fastrpcctl_sessions
    fastrpcctl --no-legend -q session list 2>/dev/null | string replace -r '\s.*' ''
end
function __fastrpcctl_in
    __fish_seen_subcommand_from $argv[1]; and begin
        test (count $argv) -eq 1; or __fish_seen_subcommand_from $argv[2]
    end
end
set -l kinds unsigned signed system-unsigned root audio sensors

complete -c fastrpcctl -f
complete -c fastrpcctl -s h -l help -d 'Help'
complete -c fastrpcctl -l version -d 'Version'
complete -c fastrpcctl -l json -a 'short pretty' -d 'JSON'
complete -c fastrpcctl -l no-pager -d 'Never a pager'
complete -c fastrpcctl -l no-legend -d 'No column heads'
complete -c fastrpcctl -l no-ask-password -d 'No question for a password'
complete -c fastrpcctl -s q -l quiet -d 'No remarks'
complete -c fastrpcctl -s H -l host -x -d 'Of that machine'
complete -c fastrpcctl -s M -l machine -x -d 'Of that container'

complete -c fastrpcctl -n __fish_use_subcommand -a list -d 'All objects'
complete -c fastrpcctl -n __fish_use_subcommand -a status -d 'State of an object'
complete -c fastrpcctl -n __fish_use_subcommand -a show -d 'KEY=VALUE lines'
complete -c fastrpcctl -n __fish_use_subcommand -a dump -d 'All as JSON'
complete -c fastrpcctl -n __fish_use_subcommand -a domain -d 'DSPs'
complete -c fastrpcctl -n __fish_use_subcommand -a pd -d 'Static PDs'
complete -c fastrpcctl -n __fish_use_subcommand -a session -d 'Sessions'
complete -c fastrpcctl -n __fish_use_subcommand -a files -d 'What DSPs opened'
complete -c fastrpcctl -n __fish_use_subcommand -a monitor -d 'Events'
complete -c fastrpcctl -n __fish_use_subcommand -a log -d 'What DSPs say'
complete -c fastrpcctl -n __fish_use_subcommand -a policy -d 'Who may what'
complete -c fastrpcctl -n __fish_use_subcommand -a run -d 'Wait, then run a command'
complete -c fastrpcctl -n __fish_use_subcommand -a bench -d 'Measure'
complete -c fastrpcctl -n __fish_use_subcommand -a top -d 'Live table'
complete -c fastrpcctl -n __fish_use_subcommand -a doctor -d 'What is wrong'
complete -c fastrpcctl -n __fish_use_subcommand -a metrics -d 'OpenMetrics'

complete -c fastrpcctl -n '__fastrpcctl_in domain' -a 'list status (__fastrpcctl_domains)'
complete -c fastrpcctl -n '__fastrpcctl_in pd' -a 'list status start stop restart (__fastrpcctl_domains) root audio sensors'
complete -c fastrpcctl -n '__fastrpcctl_in pd' -l timeout -x -d 'Seconds'
complete -c fastrpcctl -n '__fastrpcctl_in session' -a 'list status terminate (__fastrpcctl_sessions)'
complete -c fastrpcctl -n '__fish_seen_subcommand_from status show' -a '(__fastrpcctl_domains) (__fastrpcctl_sessions)'
complete -c fastrpcctl -n '__fastrpcctl_in show' -s p -l property -x -d 'This key'
complete -c fastrpcctl -n '__fastrpcctl_in show' -l value -d 'Values alone'
complete -c fastrpcctl -n '__fastrpcctl_in files' -l missing -d 'Asked for in vain'
complete -c fastrpcctl -n '__fish_seen_subcommand_from files log explain run bench' -l domain -xa '(__fastrpcctl_domains)' -d 'DSP'
complete -c fastrpcctl -n '__fish_seen_subcommand_from log explain run bench' -l pd -xa "$kinds" -d 'PD'
complete -c fastrpcctl -n '__fish_seen_subcommand_from files log' -s f -l follow -d 'Go on'
complete -c fastrpcctl -n '__fastrpcctl_in log' -s n -l lines -x -d 'The last'
complete -c fastrpcctl -n '__fastrpcctl_in log' -l directory -xa '(__fish_complete_directories)' -d 'Journal files'
complete -c fastrpcctl -n '__fastrpcctl_in log' -l session -xa '(__fastrpcctl_sessions)' -d 'Of this session'
complete -c fastrpcctl -n '__fish_seen_subcommand_from monitor bench' -l count -x -d 'Number'
complete -c fastrpcctl -n '__fastrpcctl_in policy' -a 'list check test explain log reload'
complete -c fastrpcctl -n '__fastrpcctl_in policy check' -F
complete -c fastrpcctl -n '__fastrpcctl_in policy test' -F
complete -c fastrpcctl -n '__fastrpcctl_in policy test' -l policy -r -d 'This file'
complete -c fastrpcctl -n '__fastrpcctl_in policy' -l policy-dir -xa '(__fish_complete_directories)' -d 'Files'
complete -c fastrpcctl -n '__fastrpcctl_in policy explain' -l user -xa '(__fish_complete_users)' -d 'About'
complete -c fastrpcctl -n '__fastrpcctl_in policy' -l uid -x -d 'About'
complete -c fastrpcctl -n '__fastrpcctl_in policy explain' -l module -x -d 'File name'
complete -c fastrpcctl -n '__fastrpcctl_in policy explain' -l label -x -d 'LSM label'
complete -c fastrpcctl -n '__fastrpcctl_in policy explain' -l directories -x -d 'How many'
complete -c fastrpcctl -n '__fastrpcctl_in policy log' -l decision -xa 'allow deny ask' -d 'Only these'
complete -c fastrpcctl -n '__fastrpcctl_in run' -l wait -x -d 'Seconds at most'
complete -c fastrpcctl -n '__fastrpcctl_in top' -s b -l batch -d 'No terminal'
complete -c fastrpcctl -n '__fastrpcctl_in top' -s n -l iterations -x -d 'Tables'
complete -c fastrpcctl -n '__fastrpcctl_in top' -s d -l delay -x -d 'Seconds between tables'
complete -c fastrpcctl -n '__fastrpcctl_in top' -s s -l sort -xa 'calls bytes p50 p99 files owner' -d 'By'
complete -c fastrpcctl -n '__fastrpcctl_in top' -l by-uid -d 'By user'
complete -c fastrpcctl -n '__fastrpcctl_in doctor' -l machine-root -xa '(__fish_complete_directories)' -d 'Files of that root'
complete -c fastrpcctl -n '__fastrpcctl_in doctor' -l host-user -xa '(__fish_complete_users)' -d 'Who hosts run as'
complete -c fastrpcctl -n '__fastrpcctl_in metrics' -l format -xa 'openmetrics prometheus' -d 'Text form'
complete -c fastrpcctl -n '__fastrpcctl_in metrics' -l http -d 'Answer a request on standard input'

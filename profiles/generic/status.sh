#!/bin/sh
# Says what became of a job, in the words that the executor wants: running, success or failed. status.sh pbs|sge|lsf ID
# Without it a job that the batch system kills is waited for for ever, as it leaves no file that says so.
system=$1 id=$2
case $system in
    pbs)
        shown=$(qstat -x -f "$id" 2> /dev/null)
        case $shown in
            *"job_state = F"*) case $shown in *"Exit_status = 0"*) echo success ;; *) echo failed ;; esac ;;
            *) echo running ;;
        esac ;;
    sge)
        if qstat -j "$id" > /dev/null 2>&1; then echo running; exit; fi
        case $(qacct -j "$id" 2> /dev/null | sed -n 's/^exit_status *\([0-9]*\).*/\1/p') in
            0) echo success ;;
            "") echo running ;; # accounting is written a little later
            *) echo failed ;;
        esac ;;
    lsf)
        case $(bjobs -noheader -o stat "$id" 2> /dev/null) in
            DONE) echo success ;;
            EXIT) echo failed ;;
            *) echo running ;;
        esac ;;
    *) echo "status.sh: got '$system', expected pbs, sge or lsf" >&2; exit 2 ;;
esac

namespace regroup::family {}

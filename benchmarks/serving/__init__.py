"""nelbo beside other model servers, all of them serving the same graph."""

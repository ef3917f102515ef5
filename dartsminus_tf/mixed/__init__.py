"""The mixed operation of DARTS- and the graph of a searched cell: what supernets are made of."""

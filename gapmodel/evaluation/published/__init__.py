"""How published scorers read answers, defects included: VSI-Bench's, SPAR-Bench's, ScanQA's and SQA3D's."""

"""Pictures, tables and charts of detections."""

-- When the content was last seen at a place: of two contents that were at one place, the one seen last lies there now.

ALTER TABLE video_locations ADD COLUMN seen_at TIMESTAMP;
COMMENT ON COLUMN video_locations.seen_at IS 'When this content was last found there by reading it or by its entity tag, UTC';
COMMENT ON COLUMN loads.kind IS 'parts (video_id and model_digest are set), job (job_id is set) or video (video_id is set: where it lies)';

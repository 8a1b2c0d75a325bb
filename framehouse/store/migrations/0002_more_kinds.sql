-- Tables of the kinds of rows that came with release 0.2: classes, vectors, faces' looks and texts of frames. Objects
-- with a mask or keypoints go to detections, which has had columns for them since 0.1. No primary keys, as in 0001.

CREATE TABLE classifications (
    video_id     VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    model_digest VARCHAR NOT NULL,
    rank         INTEGER NOT NULL,
    model_id     VARCHAR NOT NULL,
    class_id     INTEGER NOT NULL,
    class_name   VARCHAR NOT NULL,
    confidence   FLOAT NOT NULL
);
COMMENT ON TABLE classifications IS 'Grain: one class that one model digest gave to one frame as a whole. Stored from a low confidence: apply your own threshold, for example confidence >= asked_confidence().';
COMMENT ON COLUMN classifications.video_id IS 'The video';
COMMENT ON COLUMN classifications.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN classifications.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN classifications.rank IS 'Index in the frame by falling confidence, from 0: the likeliest class';
COMMENT ON COLUMN classifications.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN classifications.class_id IS 'Index of the class in the model''s labels';
COMMENT ON COLUMN classifications.class_name IS 'Name of the class';
COMMENT ON COLUMN classifications.confidence IS '0 to 1; those of a frame add up to at most 1 when one class is right (usage.kind classifications), each stands for itself when several may be (multilabels)';

CREATE TABLE embeddings (
    video_id     VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    model_digest VARCHAR NOT NULL,
    model_id     VARCHAR NOT NULL,
    embedding    FLOAT[] NOT NULL
);
COMMENT ON TABLE embeddings IS 'Grain: one frame by one model digest. Vectors of different digests must not be compared.';
COMMENT ON COLUMN embeddings.video_id IS 'The video';
COMMENT ON COLUMN embeddings.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN embeddings.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN embeddings.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN embeddings.embedding IS 'Vector as the model gave it, not normalised, no unit; compare with list_cosine_similarity';

CREATE TABLE gazes (
    video_id        VARCHAR NOT NULL,
    frame_offset    BIGINT NOT NULL,
    model_digest    VARCHAR NOT NULL,
    gaze_id         INTEGER NOT NULL,
    model_id        VARCHAR NOT NULL,
    face_confidence FLOAT NOT NULL,
    x               FLOAT NOT NULL,
    y               FLOAT NOT NULL,
    width           FLOAT NOT NULL,
    height          FLOAT NOT NULL,
    landmarks       STRUCT(x FLOAT, y FLOAT)[] NOT NULL,
    yaw_rad         FLOAT NOT NULL,
    pitch_rad       FLOAT NOT NULL
);
COMMENT ON TABLE gazes IS 'Grain: one face that one model digest saw in one frame, with the direction of its look. Stored from a low confidence: apply your own threshold, for example face_confidence >= asked_confidence().';
COMMENT ON COLUMN gazes.video_id IS 'The video';
COMMENT ON COLUMN gazes.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN gazes.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN gazes.gaze_id IS 'Index in the frame by falling confidence, from 0';
COMMENT ON COLUMN gazes.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN gazes.face_confidence IS 'That it is a face, 0 to 1; says nothing about the direction';
COMMENT ON COLUMN gazes.x IS 'Centre of the face''s box from the left, pixels of the upright frame';
COMMENT ON COLUMN gazes.y IS 'Centre of the face''s box from the top, pixels of the upright frame';
COMMENT ON COLUMN gazes.width IS 'Width of the face''s box, pixels of the upright frame';
COMMENT ON COLUMN gazes.height IS 'Height of the face''s box, pixels of the upright frame';
COMMENT ON COLUMN gazes.landmarks IS 'Right eye, left eye, nose, mouth, right ear, left ear; pixels of the upright frame';
COMMENT ON COLUMN gazes.yaw_rad IS 'Sideways, radians: above 0 to the left of the picture, 0 into the camera';
COMMENT ON COLUMN gazes.pitch_rad IS 'Radians: above 0 upwards, 0 into the camera';

CREATE TABLE texts (
    video_id     VARCHAR NOT NULL,
    frame_offset BIGINT NOT NULL,
    model_digest VARCHAR NOT NULL,
    text_id      INTEGER NOT NULL,
    model_id     VARCHAR NOT NULL,
    text         VARCHAR NOT NULL,
    confidence   FLOAT NOT NULL,
    x            FLOAT NOT NULL,
    y            FLOAT NOT NULL,
    width        FLOAT NOT NULL,
    height       FLOAT NOT NULL,
    polygon      STRUCT(x FLOAT, y FLOAT)[] NOT NULL
);
COMMENT ON TABLE texts IS 'Grain: one line of text that one model digest read in one frame. Stored from a low confidence: apply your own threshold, for example confidence >= asked_confidence().';
COMMENT ON COLUMN texts.video_id IS 'The video';
COMMENT ON COLUMN texts.frame_offset IS 'Frame, from 0 in order of presentation';
COMMENT ON COLUMN texts.model_digest IS 'Digest of everything that shapes the model''s numbers';
COMMENT ON COLUMN texts.text_id IS 'Index in the frame in reading order, from 0';
COMMENT ON COLUMN texts.model_id IS 'Name of the model, slug/version';
COMMENT ON COLUMN texts.text IS 'What is written there';
COMMENT ON COLUMN texts.confidence IS '0 to 1';
COMMENT ON COLUMN texts.x IS 'Centre of the upright box around the line from the left, pixels of the upright frame';
COMMENT ON COLUMN texts.y IS 'Centre of the upright box around the line from the top, pixels of the upright frame';
COMMENT ON COLUMN texts.width IS 'Width of the upright box around the line, pixels of the upright frame';
COMMENT ON COLUMN texts.height IS 'Height of the upright box around the line, pixels of the upright frame';
COMMENT ON COLUMN texts.polygon IS 'Corners of the line, from the top left of its first letter clockwise; pixels of the upright frame';

COMMENT ON TABLE detections IS 'Grain: one object that one model digest saw in one frame, with a mask or keypoints when the model gives them. Stored from a low confidence: apply your own threshold, for example confidence >= asked_confidence().';
COMMENT ON COLUMN usage.kind IS 'Kind of rows that it gives: detections, segmentations, keypoints, classifications, multilabels, embeddings, gazes or texts';

-- Run once by PostgreSQL's image, on an empty volume: the database of Prefect beside ours.
CREATE DATABASE prefect OWNER framehouse;

"""clouds.yaml, OS_* -> a Cloud, or one sentence for each way in that was tried."""

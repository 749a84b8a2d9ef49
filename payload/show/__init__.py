"""What a person looks at: lines, tables, pictures, TensorBoard."""

mod meshes;
mod rules;
